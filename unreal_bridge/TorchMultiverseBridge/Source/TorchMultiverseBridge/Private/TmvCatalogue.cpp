#include "TmvCatalogue.h"

#include "Engine/DataTable.h"
#include "HAL/IConsoleManager.h"
#include "Materials/MaterialParameterCollection.h"
#include "Misc/EngineVersion.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <utility>
#include <vector>

#include "Pure/TmvConditions.h"
#include "TmvLog.h"
#include "TmvSettings.h"
#include "TmvStage.h"
#include "TmvText.h"

namespace
{
	using tmv::Value;
	using tmv_ue::Condition;

	Value Strings(const std::vector<std::string>& Texts)
	{
		Value List = Value::array();
		for (const std::string& Text : Texts)
		{
			List.items().push_back(Value::string(Text));
		}
		return List;
	}

	Value Choice(std::vector<std::string> Levels)
	{
		std::sort(Levels.begin(), Levels.end());
		Value One = Value::object();
		One.set("levels", Strings(Levels));
		return One;
	}

	Value Range(double Low, double High)
	{
		Value One = Value::object();
		One.set("low", Value::number(Low));
		One.set("high", Value::number(High));
		return One;
	}

	/** The rows of a table with their levels. */
	template <typename RowType>
	std::vector<std::pair<std::string, const RowType*>> Rows(const UDataTable* Table)
	{
		std::vector<std::pair<std::string, const RowType*>> Found;
		if (Table)
		{
			for (const FName& Name : Table->GetRowNames())
			{
				if (const RowType* Row = Table->FindRow<RowType>(Name, TEXT("catalogue"), false))
				{
					Found.emplace_back(TmvText::ToUtf8(Row->Wire.IsEmpty() ? Name.ToString() : Row->Wire), Row);
				}
			}
		}
		return Found;
	}

	template <typename RowType>
	std::vector<std::string> LevelsOf(const UDataTable* Table)
	{
		std::vector<std::string> Names;
		for (const auto& One : Rows<RowType>(Table))
		{
			Names.push_back(One.first);
		}
		return Names;
	}

	/** Whether a condition can be made with what the project names. */
	bool CanMake(const tmv_ue::ConditionRow& Row, const UTmvSettings& Settings)
	{
		switch (Row.kind)
		{
		case Condition::SunElevation:
		case Condition::SunAzimuth:
			return Settings.bSunMoves;
		case Condition::Rain:
			return !Settings.RainSystem.IsNull();
		case Condition::Snow:
			return !Settings.SnowSystem.IsNull();
		case Condition::Wetness:
		case Condition::SnowCover:
			return TmvCatalogue::HasScalar(Settings.SurfaceCollection.LoadSynchronous(), FName(*TmvText::FromUtf8(Row.wire)));
		case Condition::Shutter:
		case Condition::Speed:
			return Settings.bMotionBlur;
		default:
			return true;
		}
	}

	Value RangeOf(const tmv_ue::ConditionRow& Row, const UTmvSettings& Settings)
	{
		const double Full = Row.kind == Condition::Rain ? Settings.RainFull()
			: Row.kind == Condition::Snow               ? Settings.SnowFull()
														: Row.high;
		return Range(Row.low, FMath::Min(Row.high, Full));
	}

	const char* const Turns[] = {"_Rotation_Yaw", "_Rotation_Roll", "_Rotation_Pitch"};

	void AddCharacter(Value& Factors, int32 Number, const std::vector<std::string>& Names, const std::vector<std::string>& Textures)
	{
		const std::string Prefix = FTmvCharacters::Prefix(Number);
		Factors.set(Prefix + "_Name", Choice(Names));
		Factors.set(Prefix + "_Scale", Range(0.1, 4));
		for (const char* Turn : Turns)
		{
			Factors.set(Prefix + Turn, Range(-360, 360));
		}
		Factors.set(Prefix + "_Texture", Choice(Textures));
		Factors.set(Prefix + "_Location", Value::object());
		if (Number <= 2)
		{
			Factors.set(FTmvCharacters::PlaceWire(Number), Choice({"center", "left", "right", "bottom", "top", "location"}));
		}
	}

	Value Asset(const std::string& Name, const char* Kind, const FString& Source, const FString& License, const FString& Attribution)
	{
		Value One = Value::object();
		One.set("name", Value::string(Name));
		One.set("kind", Value::string(Kind));
		One.set("source", Value::string(TmvText::ToUtf8(Source)));
		One.set("license", Value::string(TmvText::ToUtf8(License)));
		One.set("attribution", Value::string(TmvText::ToUtf8(Attribution)));
		return One;
	}

	/** The classes of the characters, or nothing where one of them has none. */
	Value Classes(const UDataTable* Table, bool& bAll)
	{
		std::map<int32, std::vector<std::string>> Members;
		std::map<int32, std::string> Named;
		bAll = Table != nullptr;
		for (const auto& One : Rows<FTmvCharacterRow>(Table))
		{
			const int32 Id = One.second->ClassId;
			bAll = bAll && Id > 0 && Id <= 65535;
			Members[Id].push_back(One.first);
			Named[Id] = TmvText::ToUtf8(One.second->ClassName);
		}
		Value List = Value::array();
		for (const auto& Of : Members)
		{
			Value One = Value::object();
			One.set("id", Value::integer(Of.first));
			One.set("name", Value::string(Named[Of.first]));
			One.set("kind", Value::string("own"));
			One.set("characters", Strings(Of.second));
			List.items().push_back(One);
		}
		return bAll ? List : Value::array();
	}

	int32 Console(const TCHAR* Name)
	{
		const IConsoleVariable* Variable = IConsoleManager::Get().FindConsoleVariable(Name);
		return Variable ? Variable->GetInt() : 0;
	}

	/** Custom depth with stencil has to be on before anything is drawn with it. */
	bool CanMask(const UTmvSettings& Settings)
	{
		if (IConsoleVariable* Variable = IConsoleManager::Get().FindConsoleVariable(TEXT("r.CustomDepth")))
		{
			Variable->Set(3);
		}
		const bool bStencil = Console(TEXT("r.CustomDepth")) == 3;
		if (!bStencil || Settings.StencilMaterial.IsNull())
		{
			UE_LOG(LogTmvBridge, Warning,
				TEXT("no mask: it needs the stencil material of the project settings, and r.CustomDepth=3"));
			return false;
		}
		return true;
	}

	Value Further(const std::string& Wire, const char* Kind, Value Standard)
	{
		std::string Column = Wire;
		std::transform(Column.begin(), Column.end(), Column.begin(), [](unsigned char Letter) { return std::tolower(Letter); });
		Value One = Value::object();
		One.set("name", Value::string(Wire));
		One.set("column", Value::string(Column));
		One.set("kind", Value::string(Kind));
		One.set("default", std::move(Standard));
		return One;
	}
}

tmv::Value TmvCatalogue::FurtherFactors(const UTmvSettings& Settings)
{
	Value List = Value::array();
	for (int32 Number = 3; Number <= Settings.CharacterCount(); ++Number)
	{
		const std::string Prefix = FTmvCharacters::Prefix(Number);
		List.items().push_back(Further(Prefix + "_Name", "category", Value::string("blank")));
		List.items().push_back(Further(Prefix + "_Scale", "number", Value::integer(1)));
		for (const char* Turn : Turns)
		{
			List.items().push_back(Further(Prefix + Turn, "number", Value::integer(0)));
		}
		List.items().push_back(Further(Prefix + "_Texture", "category", Value::string("Default")));
		List.items().push_back(Further(Prefix + "_Location", "category", Value::string("0,0,0")));
	}
	return List;
}

bool TmvCatalogue::HasScalar(const UMaterialParameterCollection* Collection, const FName& Name)
{
	return Collection && Collection->GetScalarParameterByName(Name) != nullptr;
}

std::string TmvCatalogue::Config(const UTmvSettings& Settings, const FTmvStage& Stage)
{
	Value Catalogue = Value::object();
	Catalogue.set("engine", Value::string(TmvText::ToUtf8(Settings.EngineName)));
	Catalogue.set("version", Value::string(TmvText::ToUtf8(
		Settings.EngineVersion + TEXT(" on Unreal ") + FEngineVersion::Current().ToString())));

	bool bClasses = false;
	Value ClassList = Classes(Stage.CharacterTable(), bClasses);
	std::vector<std::string> Passes{"rgb", "depth"};
	if (CanMask(Settings))
	{
		Passes.push_back("mask");
		if (bClasses && Stage.GltfFolder().Files().Num() == 0)
		{
			Passes.push_back("class");
		}
	}
	if (Console(TEXT("r.ForwardShading")) == 0)
	{
		Passes.push_back("normals");  // they are in the buffers of deferred shading
	}
	Catalogue.set("passes", Strings(Passes));

	std::vector<std::string> Names = LevelsOf<FTmvCharacterRow>(Stage.CharacterTable());
	if (FTmvGltfFolder::CanLoad())
	{
		for (const TPair<FString, FString>& File : Stage.GltfFolder().Files())
		{
			Names.push_back(TmvText::ToUtf8(File.Key));
		}
	}
	Names.push_back("blank");
	std::vector<std::string> Textures = LevelsOf<FTmvTextureRow>(Stage.TextureTable());
	Textures.push_back("Default");
	Value Factors = Value::object();
	Factors.set("World_Name", Choice(LevelsOf<FTmvWorldRow>(Stage.WorldTable())));
	for (int32 Number = 1; Number <= Settings.CharacterCount(); ++Number)
	{
		AddCharacter(Factors, Number, Names, Textures);
	}
	for (const char* Wire : {"Camera_Yaw", "Camera_Pitch", "Camera_Roll"})
	{
		Factors.set(Wire, Range(-360, 360));
	}
	Factors.set("Scene_Light", Value::object());
	for (const tmv_ue::ConditionRow& Row : tmv_ue::kConditions)
	{
		if (CanMake(Row, Settings))
		{
			Factors.set(Row.wire, RangeOf(Row, Settings));
		}
	}
	Catalogue.set("factors", Factors);
	Catalogue.set("classes", ClassList);

	Value Assets = Value::array();
	for (const auto& One : Rows<FTmvWorldRow>(Stage.WorldTable()))
	{
		Assets.items().push_back(Asset(One.first, "world", One.second->Source, One.second->License, One.second->Attribution));
	}
	for (const auto& One : Rows<FTmvCharacterRow>(Stage.CharacterTable()))
	{
		Assets.items().push_back(Asset(One.first, "character", One.second->Source, One.second->License, One.second->Attribution));
	}
	Catalogue.set("assets", Assets);

	Value Settle = Value::object();
	Settle.set("quiet_frames", Value::integer(Settings.QuietFrames));
	Settle.set("max_frames", Value::integer(Settings.MaxFrames));
	Settle.set("max_ms", Value::number(1000. * Settings.MaxSeconds));
	Value Config = Value::object();
	Config.set("catalogue", Catalogue);
	Config.set("factors", FurtherFactors(Settings));
	Config.set("settle", Settle);
	// Loading has its own limit in the stage; this one is for what hangs beyond it.
	Config.set("patience_ms", Value::number(1000. * Settings.MaxSeconds + 60000.));
	std::string Text;
	tmv::json::canonical(Config, Text);
	return Text;
}
