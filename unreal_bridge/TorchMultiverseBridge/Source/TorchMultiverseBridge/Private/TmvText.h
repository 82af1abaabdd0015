// Between the core's UTF-8 and Unreal's texts, and short ways to read levels.
#pragma once

#include "Containers/StringConv.h"
#include "CoreMinimal.h"

#include <optional>
#include <string>

#include "tmv/json.hpp"

namespace TmvText
{
	inline std::string ToUtf8(const FString& Text)
	{
		const FTCHARToUTF8 Converted(*Text, Text.Len());
		return std::string(Converted.Get(), static_cast<size_t>(Converted.Length()));
	}

	inline FString FromUtf8(const std::string& Text)
	{
		const FUTF8ToTCHAR Converted(Text.data(), static_cast<int32>(Text.size()));
		return FString(Converted.Length(), Converted.Get());
	}

	/** A level as text; empty where there is none. Numbers give their digits. */
	inline FString Text(const tmv::Value& Levels, const std::string& Wire)
	{
		const tmv::Value* Found = Levels.find(Wire);
		return Found ? FromUtf8(Found->text()) : FString();
	}

	/** A level as number; nothing where there is none, or where it is "own": as the world or the layout has it. */
	inline std::optional<double> Given(const tmv::Value& Levels, const std::string& Wire)
	{
		const tmv::Value* Found = Levels.find(Wire);
		return Found && Found->is_number() ? std::optional<double>(Found->as_double()) : std::nullopt;
	}

	/** A level as number; 0 where there is none. */
	inline double Number(const tmv::Value& Levels, const std::string& Wire)
	{
		return Given(Levels, Wire).value_or(0.);
	}
}
