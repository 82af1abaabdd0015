#include "TmvGltfFolder.h"

#include "Features/IModularFeatures.h"
#include "HAL/FileManager.h"
#include "Misc/Paths.h"

#include "TmvLog.h"
#include "TmvMeshSource.h"

namespace
{
	constexpr int32 MostFiles = 10000;

	bool IsPlain(const FString& Name)
	{
		for (const TCHAR Letter : Name)
		{
			if (!FChar::IsAlnum(Letter) && Letter != TEXT('_') && Letter != TEXT('-'))
			{
				return false;
			}
		}
		return !Name.IsEmpty() && Name.Len() <= 200;
	}
}

void FTmvGltfFolder::Scan(const FString& Folder)
{
	Found.Reset();
	if (Folder.IsEmpty())
	{
		return;
	}
	TArray<FString> Names;
	IFileManager::Get().FindFiles(Names, *FPaths::Combine(Folder, TEXT("*.glb")), true, false);
	Names.Sort();
	for (const FString& Name : Names)
	{
		const FString Level = FPaths::GetBaseFilename(Name);
		if (Found.Num() < MostFiles && IsPlain(Level))
		{
			Found.Add(Level, FPaths::Combine(Folder, Name));
		}
		else
		{
			UE_LOG(LogTmvBridge, Warning, TEXT("%s is left out: names are letters, digits, '_' and '-'"), *Name);
		}
	}
}

bool FTmvGltfFolder::CanLoad()
{
	return IModularFeatures::Get().IsModularFeatureAvailable(ITmvMeshSource::FeatureName());
}

UStaticMesh* FTmvGltfFolder::Load(const FString& File, FString& OutError)
{
	if (!CanLoad())
	{
		OutError = TEXT("nothing in this build reads glTF files; the plugin TorchMultiverseGltf does");
		return nullptr;
	}
	return IModularFeatures::Get().GetModularFeature<ITmvMeshSource>(ITmvMeshSource::FeatureName()).Load(File, OutError);
}
